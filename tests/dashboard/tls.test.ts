import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { connect, type PeerCertificate } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { readTlsFiles } from '../../dashboard/server/tls-files.ts'
import { hasCommand, requireExternal } from '../support/external.ts'
import { CommandProcess } from '../support/hub-process.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

const folder = temporaryFolders()
let hub: CommandProcess | undefined
afterEach(() => hub?.kill())

function makeCertificate(path: string, name: string): { certificate: string; key: string } {
  const files = { certificate: join(path, 'cert.pem'), key: join(path, 'key.pem') }
  const { status, stderr } = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`],
    ...['-keyout', files.key, '-out', files.certificate],
  ])
  if (status !== 0) throw new Error(String(stderr))
  return files
}

describe.skipIf(!requireExternal('openssl', hasCommand('openssl')))('TLS of the hub itself', () => {
  it('serves HTTPS from 1.2 on, with HSTS and Secure cookies, and takes another certificate on SIGHUP', async () => {
    const data = folder()
    const { certificate, key } = makeCertificate(data, 'hub.example')
    const config = join(data, 'hub.json')
    writeFileSync(
      config,
      JSON.stringify({
        kind: 'hub',
        data: 'd',
        port: 0,
        names: ['hub.example'],
        tls_certificate: 'cert.pem',
        tls_key: 'key.pem',
      }),
    )
    hub = new CommandProcess(['serve', '--config', config, '--log-format', 'json'])
    await expect.poll(() => /^(https:\/\/127\.0\.0\.1:\d+)\/$/m.exec(hub!.stdout)?.[1]).toBeDefined()
    const url = /^(https:\/\/\S+)\/$/m.exec(hub.stdout)![1]!
    const port = Number(new URL(url).port)
    const link = /https:\/\/hub\.example:\d+\/sign-in#(\S+)/.exec(hub.stdout)![1]!
    const ca = readFileSync(certificate)
    const signIn = await new Promise<Record<string, unknown>>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', host: `127.0.0.1:${port}` }
      const call = request(
        { host: '127.0.0.1', port, path: '/api/v1/session', method: 'POST', ca, headers },
        answer => {
          answer.resume()
          resolve({ ...answer.headers, status: answer.statusCode })
        },
      )
      call.on('error', reject)
      call.end(JSON.stringify({ token: link }))
    })
    expect(signIn).toMatchObject({ status: 200, 'strict-transport-security': 'max-age=31536000' })
    expect(String(signIn['set-cookie'])).toContain('; Secure')

    const handshake = (options: object) =>
      new Promise<{ protocol: string | null; peer: PeerCertificate } | { error: string }>(resolve => {
        const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options }, () => {
          resolve({ protocol: socket.getProtocol(), peer: socket.getPeerCertificate() })
          socket.destroy()
        })
        socket.on('error', error => resolve({ error: (error as NodeJS.ErrnoException).code ?? 'failed' }))
      })
    expect(await handshake({ maxVersion: 'TLSv1.2' })).toMatchObject({ protocol: 'TLSv1.2' })
    expect(await handshake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })).toHaveProperty('error')
    // Nothing is served in clear text on that port.
    await expect(fetch(`http://127.0.0.1:${port}/api/v1/health`)).rejects.toThrow('fetch failed')

    makeCertificate(data, 'next.example')
    hub.child.kill('SIGHUP')
    await expect
      .poll(async () => {
        const shaken = await handshake({})
        return 'peer' in shaken ? shaken.peer.subject.CN : shaken.error
      })
      .toBe('next.example')
    // A broken renewal keeps what works.
    writeFileSync(certificate, 'nonsense')
    hub.child.kill('SIGHUP')
    await expect.poll(() => hub!.stderr).toContain('certificate was not renewed')
    expect(await handshake({})).toMatchObject({ peer: { subject: { CN: 'next.example' } } })
    hub.child.kill('SIGTERM')
    expect((await hub.finished).status).toBe(0)
    expect(key).toContain('key.pem')
  })

  it('refuses files that are not there, are no PEM, or do not belong together', () => {
    const [one, other] = [makeCertificate(folder(), 'a'), makeCertificate(folder(), 'b')]
    expect(readTlsFiles(one.certificate, one.key).cert).toContain('BEGIN CERTIFICATE')
    for (const [certificate, key] of [
      [one.certificate, other.key],
      ['/nowhere', one.key],
      [one.key, one.key],
      [one.certificate, one.certificate],
    ] as const) {
      expect(() => readTlsFiles(certificate, key)).toThrow(expect.objectContaining({ code: 'TLS_INVALID' }))
    }
  })
})
