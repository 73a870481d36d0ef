import { createServer, type Server } from 'node:http'
import { TelescopeError } from '../../schemas/errors.ts'
import { checkHost } from './host-check.ts'
import type { HubMetrics } from './hub-metrics.ts'

const ADDRESS = '127.0.0.1'

/**
 * `GET /metrics` on a port of loopback alone, without a token: for a Prometheus on the same machine. The figures name
 * no sensor.
 * @throws PORT_IN_USE
 */
export async function listenForMetrics(port: number, metrics: HubMetrics): Promise<Server> {
  const server = createServer((request, response) => {
    void (async () => {
      // A page of elsewhere that makes its name point here gets nothing.
      checkHost(request.headers.host, [])
      if (request.url !== '/metrics' || request.method !== 'GET') {
        response.writeHead(404).end('GET /metrics is what is here\n')
        return
      }
      response.writeHead(200, { 'content-type': metrics.contentType }).end(await metrics.text())
    })().catch(() => response.writeHead(503).end())
  })
  server.requestTimeout = 10_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', error =>
      reject(
        new TelescopeError(
          'PORT_IN_USE',
          `metrics port ${port} cannot be listened on (${(error as NodeJS.ErrnoException).code}); choose another with --metrics-port`,
          { port },
          error,
        ),
      ),
    )
    server.listen(port, ADDRESS, resolve)
  })
  return server
}
