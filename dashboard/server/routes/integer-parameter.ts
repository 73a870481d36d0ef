import { TelescopeError } from '../../../schemas/errors.ts'

/**
 * The whole number that a query parameter holds; its table says which are taken.
 * @throws QUERY_INVALID
 */
export function readInteger<N extends string>(
  table: Record<N, { minimum: number; maximum: number }>,
  parameter: N,
  text: string,
): number {
  const { minimum, maximum } = table[parameter]
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= minimum && value <= maximum) return value
  throw new TelescopeError(
    'QUERY_INVALID',
    `parameter "${parameter}" is "${text}", expected ${minimum} to ${maximum}`,
    { parameter },
  )
}
