import { describe, expect, test } from 'vitest'
import { type ConfigTable, parseConfig } from '../../schemas/config.ts'

const TABLE = {
  hub: { type: 'text', required: true, doc: 'Address of the hub.' },
  level: { type: 'text', names: ['warn', 'info'], default: 'warn', doc: 'Log level.' },
  port: { type: 'integer', minimum: 0, maximum: 65_535, default: 8080, doc: 'Port.' },
  names: { type: 'texts', default: [], doc: 'Host names.' },
  open: { type: 'boolean', doc: 'Whether it is open.' },
} as const satisfies ConfigTable

describe('parseConfig', () => {
  test('takes what is given and fills in the rest', () => {
    expect(parseConfig('{"hub": "x", "port": 0}', TABLE, 'f')).toEqual({
      hub: 'x',
      level: 'warn',
      port: 0,
      names: [],
      open: undefined,
    })
  })

  test.each([
    ['{\n"hub": "x",\n}', 3, 'no JSON'],
    ['[]', 1, 'no JSON object'],
    ['{"hub": "x",\n"prot": 1}', 2, '"prot" is unknown'],
    ['{}', null, '"hub" is missing'],
    ['{"hub": "x",\n\n"port": 65536}', 3, 'from 0 to 65535'],
    ['{"hub": "x", "port": 1.5}', 1, 'whole number'],
    ['{"hub": ""}', 1, 'not empty'],
    ['{"hub": "x", "level": "loud"}', 1, 'one of warn, info'],
    ['{"hub": "x", "names": ["a", 1]}', 1, 'list of texts'],
    ['{"hub": "x", "open": "yes"}', 1, 'true or false'],
    ['{"hub": "x", "__proto__": 1}', 1, 'is unknown'],
  ])('%s', (text, line, message) => {
    expect(() => parseConfig(text, TABLE, 'hub.json')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        details: { path: 'hub.json', line },
        message: expect.stringContaining(message),
      }),
    )
  })
})
