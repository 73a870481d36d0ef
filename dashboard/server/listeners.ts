import { chmodSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { TelescopeError } from '../../schemas/errors.ts'
import {
  CONNECTION_IDLE_MILLISECONDS,
  HEADERS_MILLISECONDS,
  KEEP_ALIVE_MILLISECONDS,
  REQUEST_MILLISECONDS,
  STOP_MILLISECONDS,
} from './time-limits.ts'
import { TLS_VERSION_MIN, type TlsFiles } from './tls-files.ts'

/**
 * The two doors of one server: TCP for everyone, and a socket in the data folder for the hub's own user. A request
 * through the socket is the coordinator's, because who can open the socket can read the catalog anyway.
 */
export class Listeners {
  readonly app: FastifyInstance
  readonly #local: Server
  readonly #localRequests = new WeakSet<IncomingMessage>()
  #socket: string | null = null

  constructor(build: (isLocal: (request: FastifyRequest) => boolean) => FastifyInstance) {
    this.app = build(request => this.#localRequests.has(request.raw))
    this.#local = createServer((request, response) => {
      this.#localRequests.add(request)
      this.app.routing(request, response)
    })
    this.app.server.headersTimeout = HEADERS_MILLISECONDS
    this.#local.headersTimeout = HEADERS_MILLISECONDS
    this.#local.requestTimeout = REQUEST_MILLISECONDS
    this.#local.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
    this.#local.setTimeout(CONNECTION_IDLE_MILLISECONDS)
    // A client that asks first (Expect: 100-continue, as curl does for large files) is told to go on only when its
    // body is wanted: the route does that.
    this.app.server.on('checkContinue', (request, response) => this.app.routing(request, response))
  }

  /**
   * The caller must hold the catalog: only then is a socket that lies in the folder a dead one.
   * Close it also when this fails.
   * @returns the base of all URLs, without a slash at the end
   * @throws PORT_IN_USE, OUTPUT_UNWRITABLE
   */
  async listen(host: string, ports: readonly number[], socket: string): Promise<string> {
    await this.app.ready()
    const url = await this.#listenOnFirst(host, ports)
    try {
      rmSync(socket, { force: true })
      await new Promise<void>((resolve, reject) => {
        this.#local.once('error', reject)
        this.#local.listen(socket, resolve)
      })
      chmodSync(socket, 0o600)
      this.#socket = socket
    } catch (error) {
      throw new TelescopeError('OUTPUT_UNWRITABLE', `socket ${socket} cannot be made`, { path: socket }, error)
    }
    return url
  }

  async #listenOnFirst(host: string, ports: readonly number[]): Promise<string> {
    for (const port of ports) {
      try {
        await this.app.listen({ host, port })
        const address = this.app.server.address()
        const bound = typeof address === 'object' && address !== null ? address.port : port
        const scheme = this.app.server instanceof TlsServer ? 'https' : 'http'
        return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${bound}`
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
          throw new TelescopeError(
            'USAGE',
            `address ${host}:${port} cannot be listened on (${(error as Error).message})`,
            {},
            error,
          )
        }
      }
    }
    const tried = ports.length === 1 ? `port ${ports[0]} is` : `ports ${ports[0]} to ${ports.at(-1)} are`
    throw new TelescopeError('PORT_IN_USE', `${tried} taken by another program; choose one with --port`, {
      port: ports[0] ?? null,
    })
  }

  /** Connections made from now on get this certificate. */
  renewTls(files: TlsFiles): void {
    if (this.app.server instanceof TlsServer) {
      this.app.server.setSecureContext({ ...files, minVersion: TLS_VERSION_MIN })
    }
  }

  /** Closes both doors. What is under way may end within STOP_MILLISECONDS; then its connection is cut. */
  async close(): Promise<void> {
    const timer = setTimeout(() => {
      this.app.server.closeAllConnections()
      this.#local.closeAllConnections()
    }, STOP_MILLISECONDS)
    this.#local.close()
    this.#local.closeIdleConnections()
    await this.app.close()
    clearTimeout(timer)
    if (this.#socket !== null) rmSync(this.#socket, { force: true })
  }
}
