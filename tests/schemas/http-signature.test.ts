import { createHmac, createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { formatDigest, parseDigest } from '../../schemas/digest-field.ts'
import { parseSignatureInput, signatureBase } from '../../schemas/http-signature.ts'
import { parseDictionary } from '../../schemas/structured-field.ts'

// The test vectors of RFC 9421, appendix B.2, with the RFC's public test keys (B.1): each signature there must fit the
// text that is built here.

const PUBLIC_KEY = 'MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs='
const PRIVATE_KEY = 'MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF'
const SHARED_SECRET = 'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=='
const P256_KEY =
  'MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ=='

const REQUEST: Readonly<Record<string, string>> = {
  '"@method"': 'POST',
  '"@path"': '/foo',
  '"@query"': '?param=Value&Pet=dog',
  '"@authority"': 'example.com',
  '"date"': 'Tue, 20 Apr 2021 02:07:55 GMT',
  '"content-type"': 'application/json',
  '"content-length"': '18',
}
const RESPONSE: Readonly<Record<string, string>> = {
  '"@status"': '200',
  '"content-type"': 'application/json',
  '"content-digest"':
    'sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:',
  '"content-length"': '23',
}

function base(field: string, label: string, values = REQUEST): Buffer {
  const input = parseSignatureInput(field, label)
  return Buffer.from(signatureBase(input!, identifier => values[identifier] ?? null)!)
}

describe('vectors of RFC 9421', () => {
  it('B.2.6: Ed25519', () => {
    const text = base(
      'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      'sig-b26',
    )
    const value = 'wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=='
    const publicKey = createPublicKey({ key: Buffer.from(PUBLIC_KEY, 'base64'), format: 'der', type: 'spki' })
    const privateKey = createPrivateKey({ key: Buffer.from(PRIVATE_KEY, 'base64'), format: 'der', type: 'pkcs8' })
    expect(verify(null, text, publicKey, Buffer.from(value, 'base64'))).toBe(true)
    expect(sign(null, text, privateKey).toString('base64')).toBe(value)
  })

  it('B.2.5: HMAC', () => {
    const text = base(
      'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
      'sig-b25',
    )
    const value = createHmac('sha256', Buffer.from(SHARED_SECRET, 'base64')).update(text).digest('base64')
    expect(value).toBe('pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=')
  })

  it('B.2.4: ECDSA over a response', () => {
    const text = base(
      'sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"',
      'sig-b24',
      RESPONSE,
    )
    const key = createPublicKey({ key: Buffer.from(P256_KEY, 'base64'), format: 'der', type: 'spki' })
    const value = 'wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=='
    expect(verify('sha256', text, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(value, 'base64'))).toBe(true)
  })

  it('B.2.1 and B.2.2: no component, and one with a parameter', () => {
    const parameters = ';created=1618884473;keyid="test-key-rsa-pss"'
    expect(base(`a=()${parameters};nonce="b3k2pp5k7z-50gnwp.yemd"`, 'a').toString()).toBe(
      `"@signature-params": ()${parameters};nonce="b3k2pp5k7z-50gnwp.yemd"`,
    )
    const values = { ...REQUEST, '"@query-param";name="Pet"': 'dog' }
    const list = '("@authority" "@query-param";name="Pet")'
    expect(base(`a=${list}${parameters};tag="header-example"`, 'a', values).toString()).toBe(
      `"@authority": example.com\n"@query-param";name="Pet": dog\n"@signature-params": ${list}${parameters};tag="header-example"`,
    )
  })
})

describe('structured fields', () => {
  it.each(['a=1', 'a=("x" "y";p);q=-5, b=:AQI=:, c, d;e="f\\"g", h=token/x, i=?0', 'sha-256=:AAAA:'])(
    '%s is read',
    text => {
      expect(parseDictionary(text)).not.toBeNull()
    },
  )

  it.each([
    ['', 'nothing'],
    ['a=1, a=2', 'a key twice'],
    ['a=("x"  "y")', 'two spaces'],
    ['a=1,b=2', 'no space behind the comma'],
    ['a=1 ', 'a space at the end'],
    ['a=01', 'a leading zero'],
    ['a=1.5', 'a decimal'],
    ['a=?1', 'true that is written out'],
    ['a=:AQJ=:', 'bits behind the last byte'],
    ['a=:AQI:', 'no padding'],
    ['a="x', 'no end'],
    ['a="\\x"', 'an escape that is none'],
    ['A=1', 'a capital key'],
    ['a=(1', 'an open list'],
    ['a;b;b', 'a parameter twice'],
  ])('%s is refused: %s', text => {
    expect(parseDictionary(text)).toBeNull()
  })

  it('digests go to and fro, with SHA-256 alone', () => {
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    expect(parseDigest(formatDigest(sha256))).toBe(sha256)
    expect(formatDigest(sha256)).toBe('sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:')
    for (const text of ['sha-256=:AAAA:', 'sha-512=:AAAA:', `${formatDigest(sha256)}, sha-512=:AAAA:`, 'sha-256=1']) {
      expect(parseDigest(text)).toBeNull()
    }
  })

  it('a value that could be taken for another line has no text', () => {
    const input = parseSignatureInput('hirundo=("@path");created=1')!
    expect(signatureBase(input, () => 'a\n"@method": GET')).toBeNull()
  })
})
