import { CommandProcess, type Finished } from '../support/hub-process.ts'
import { pause } from './fault-test.ts'
import { FaultyHub } from './faulty-hub.ts'
import { asBatch, type MadeUpload, makeCapture } from './upload-maker.ts'

const PUT_AWAY_SECONDS_MAX = 60

/** A hub that runs and has counted so many uploads of some bytes each, every fourth of them a batch. */
export async function hubWithData(build: string, uploads: number, byteCount: number): Promise<FaultyHub> {
  const hub = await FaultyHub.prepare(build, 2)
  try {
    await hub.start()
    for (let content = 0; content < uploads; content++) {
      const sensor = hub.sensors[content % hub.sensors.length]!
      const capture = makeCapture(sensor, content, byteCount)
      await received(hub, content % 4 === 3 ? await asBatch(capture, sensor) : capture)
    }
    const waiting = (await hub.settle()).filter(({ state }) => state !== 'counted')
    if (waiting.length > 0) throw new Error(`${waiting.length} uploads are ${waiting[0]!.state}`)
    // Counted bytes are put away behind the commit.
    for (const end = Date.now() + PUT_AWAY_SECONDS_MAX * 1000; inInbox(hub) > 0; await pause(50)) {
      if (Date.now() > end) throw new Error(`${inInbox(hub)} counted uploads still lie in the inbox`)
    }
    return hub
  } catch (error) {
    await hub.remove()
    throw error
  }
}

function inInbox(hub: FaultyHub): number {
  const folders = ['captures', 'batches'].flatMap(kind => hub.sensors.map(({ sensor }) => [kind, sensor]))
  return folders.reduce((sum, folder) => sum + hub.files('inbox', ...folder).length, 0)
}

async function received(hub: FaultyHub, upload: MadeUpload): Promise<void> {
  const status = (await hub.put(upload))?.status
  if (status !== 201) throw new Error(`an upload was answered with ${status}`)
}

/** Runs a command of the build. */
export async function timed(build: string, ...args: string[]): Promise<Finished & { seconds: number }> {
  const started = performance.now()
  const finished = await new CommandProcess(args, { build }).finished
  return { ...finished, seconds: (performance.now() - started) / 1000 }
}
