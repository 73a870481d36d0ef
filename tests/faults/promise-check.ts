import type { Receipt } from '../../schemas/catalog.ts'
import type { Acknowledged, FaultyHub } from './faulty-hub.ts'
import type { MadeUpload } from './upload-maker.ts'

/**
 * Every upload that a client got a receipt for must have this receipt still, exactly one, and be counted; the packets in
 * the answers must be those of the generator. Waits until the hub has counted.
 * @param sent all uploads whose bytes may have reached the hub, acknowledged or not
 */
export async function checkPromise(
  hub: FaultyHub,
  acknowledged: readonly Acknowledged[],
  sent: readonly MadeUpload[],
): Promise<string[]> {
  const receipts = await hub.settle()
  return [
    ...acknowledged.flatMap(known => checkReceipt(known, receipts)),
    ...receipts
      .filter(({ state }) => state !== 'counted')
      .map(({ sha256, state, error_message }) => `${short(sha256)} is ${state}: ${error_message}`),
    ...checkSums(await hub.packets(), receipts, sent),
    ...checkFolders(hub, receipts),
  ]
}

function checkReceipt({ upload, receivedAt }: Acknowledged, receipts: readonly Receipt[]): string[] {
  const own = receipts.filter(({ sensor, sha256 }) => sensor === upload.sensor && sha256 === upload.sha256)
  if (own.length !== 1) return [`${short(upload.sha256)} was acknowledged and has ${own.length} receipts`]
  const { received_at } = own[0]!
  if (receivedAt === null || receivedAt === received_at) return []
  return [`${short(upload.sha256)} was acknowledged as received at ${receivedAt}, now it says ${received_at}`]
}

/** What has a receipt is in the numbers once, whoever saw the receipt; nothing else is. */
function checkSums(
  counted: ReadonlyMap<string, number>,
  receipts: readonly Receipt[],
  sent: readonly MadeUpload[],
): string[] {
  const known = new Set(receipts.map(({ sensor, sha256 }) => `${sensor} ${sha256}`))
  const contents = new Map<string, MadeUpload>()
  for (const upload of sent) {
    if (known.has(`${upload.sensor} ${upload.sha256}`)) contents.set(`${upload.sensor} ${upload.content}`, upload)
  }
  const expected = new Map<string, number>()
  for (const { sensor, packets } of contents.values()) expected.set(sensor, (expected.get(sensor) ?? 0) + packets)
  return [...new Set([...counted.keys(), ...expected.keys()])].flatMap(sensor => {
    const [actual, made] = [counted.get(sensor) ?? 0, expected.get(sensor) ?? 0]
    return actual === made ? [] : [`${sensor}: ${actual} packets are in the answers, ${made} were made`]
  })
}

/** Bytes without a receipt would stay for ever. */
function checkFolders(hub: FaultyHub, receipts: readonly Receipt[]): string[] {
  const known = new Set(receipts.map(({ sha256 }) => sha256))
  return ['captures', 'batches'].flatMap(kind =>
    hub.sensors.flatMap(({ sensor }) =>
      hub
        .files('inbox', kind, sensor)
        .filter(name => !known.has(name))
        .map(name => `${short(name)} lies in the inbox without a receipt`),
    ),
  )
}

function short(sha256: string): string {
  return sha256.slice(0, 12)
}
