import type { FastifyReply } from 'fastify'
import { INTEROP_VERSION } from './resumable-fields.ts'

/**
 * Sends 104 (Upload Resumption Supported) ahead of the answer. Node has methods for 100, 102 and 103 only; what they do
 * is write to the connection, and so does this. A response has its connection only while it is the one whose turn it
 * is, so no answer to an earlier request on the same connection is torn apart.
 * @param fields names and values, free of line breaks
 */
export function sendUploadSupported(reply: FastifyReply, fields: Readonly<Record<string, string>>): void {
  const { raw, request } = reply
  const { socket } = raw
  if (request.raw.httpVersion !== '1.1' || raw.headersSent || socket === null || !socket.writable) return
  const lines = Object.entries({ ...fields, 'Upload-Draft-Interop-Version': INTEROP_VERSION })
  socket.write(
    `HTTP/1.1 104 Upload Resumption Supported\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  )
}
