/**
 * How long to wait after failures in a row, milliseconds: doubles with each. Half of it is random, so that sensors do
 * not come back all at once.
 * @param failures from 1
 * @param longestMs the wait grows no further
 */
export function retryDelay(firstMs: number, failures: number, longestMs: number): number {
  const full = Math.min(firstMs * 2 ** (failures - 1), longestMs)
  return full / 2 + Math.random() * (full / 2)
}
