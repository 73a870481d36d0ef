/**
 * Says on stderr what a request without TLS gives away, unless the hub is on this machine.
 * @param secret what could be read on the way
 */
export function warnOfPlainHttp(hub: URL, secret: string): void {
  const { protocol, hostname } = hub
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
  if (protocol !== 'http:' || isLoopback) return
  process.stderr.write(`hirundo: hub ${hub.origin}: without https anyone on the way can read ${secret}\n`)
}
