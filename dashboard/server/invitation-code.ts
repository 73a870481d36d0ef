import { createHash, randomBytes } from 'node:crypto'

/** Crockford's base 32: no letter that is read for another. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** 140 bits: nobody guesses one, so SHA-256 without a salt is enough to keep of it. */
const CODE_DIGITS = 28
const GROUP_DIGITS = 4

/** A new one-time code in groups of four, to be read out on the telephone. */
export function makeCode(): string {
  const digits = Array.from(randomBytes(CODE_DIGITS), byte => DIGITS[byte % DIGITS.length]!).join('')
  return digits.match(new RegExp(`.{${GROUP_DIGITS}}`, 'g'))!.join('-')
}

/** What is kept of a code; case, hyphens, spaces, and O for 0 or I and L for 1 make no difference. */
export function hashCode(code: string): string {
  const digits = code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1')
  return createHash('sha256').update(digits).digest('hex')
}
