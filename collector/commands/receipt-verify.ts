import { readFileSync } from 'node:fs'
import type { Command } from '../../schemas/command.ts'
import { EXIT_STATUS, TelescopeError } from '../../schemas/errors.ts'
import type { HubKey } from '../../schemas/sensor-key.ts'
import { readHubKey } from '../identity.ts'
import { signatureFault } from '../receipt-check.ts'
import { visibleText } from '../visible-text.ts'
import { requiredOption } from './required-option.ts'

export const command: Command = {
  summary: 'check kept receipts against the key of the hub',
  usage: `hirundo receipt verify FILE... --hub-key FILE

Says for each receipt (spool/receipts/*.json, or an answer of the hub) whether the hub has signed it as it is. Needs no
connection, so a receipt can be shown to anyone who has the hub's public key.

  --hub-key FILE  identity of an enrolled sensor, or what GET /api/v1/hub-key answers

Exit status: 0 all are good; 3 one is not.`,
  options: { 'hub-key': { type: 'string' } },
  async run({ values, positionals }) {
    if (positionals.length === 0) throw new TelescopeError('USAGE', 'receipt verify: name a receipt')
    const hubKey = hubKeyOf(requiredOption('receipt verify', values, 'hub-key'))
    let faults = 0
    for (const path of positionals) {
      const fault = faultOf(path, hubKey)
      if (fault === null) continue
      faults++
      process.stderr.write(`hirundo: ${visibleText(path)}: ${fault.message} [${fault.code}]\n`)
    }
    return faults > 0 ? EXIT_STATUS.input : 0
  },
}

function faultOf(path: string, hubKey: HubKey): TelescopeError | null {
  let receipt: Record<string, unknown> | null
  try {
    receipt = readJson(path)
  } catch (error) {
    return new TelescopeError('RECEIPT_INVALID', `receipt: cannot be read (${(error as Error).message})`)
  }
  const fault = signatureFault(receipt ?? {}, hubKey)
  if (fault === null) {
    const { sensor, sha256, byte_count, received_at, state } = receipt!
    process.stdout.write(
      `${visibleText(path)}: signed by hub key ${hubKey.key_id}: sensor ${sensor}, SHA-256 ${sha256}, ${byte_count} bytes, received ${received_at}, ${state}\n`,
    )
  }
  return fault
}

/** An identity keeps the key as a member; the hub shows it as the whole. */
function hubKeyOf(path: string): HubKey {
  let document: Record<string, unknown> | null = null
  try {
    document = readJson(path)
  } catch {
    // Said below.
  }
  const key = readHubKey(document?.['hub_key'] ?? document)
  if (key !== null) return key
  throw new TelescopeError(
    'IDENTITY_INVALID',
    `hub key ${path}: holds no public key of a hub; it is the identity of an enrolled sensor, or what GET /api/v1/hub-key answers`,
    { path },
  )
}

function readJson(path: string): Record<string, unknown> | null {
  return JSON.parse(readFileSync(path, 'utf8'))
}
