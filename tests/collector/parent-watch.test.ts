import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { builtFile } from '../../dashboard/server/package-root.ts'
import { temporaryFolders } from '../support/temporary-folder.ts'

// A parsing child that is caught in a loop when its hub is killed ends all the same, and takes no processor for ever.

const newFolder = temporaryFolders()

test('a child in a loop ends when its parent is killed', async () => {
  const folder = newFolder()
  const child = join(folder, 'child.mjs')
  const parent = join(folder, 'parent.mjs')
  writeFileSync(child, `await import(${JSON.stringify(builtFile('collector', 'parse-child.js'))})\nfor (;;);`)
  writeFileSync(
    parent,
    `import { fork } from 'node:child_process'
    console.log(fork(${JSON.stringify(child)}).pid)
    setInterval(() => {}, 1000)`,
  )
  const process_ = spawn(process.execPath, [parent], { stdio: ['ignore', 'pipe', 'inherit'] })
  const pid = await new Promise<number>(resolve => process_.stdout.once('data', text => resolve(Number(text))))
  onTestFinished(() => {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL')
  })
  // Caught in its loop, and alive as long as its parent is.
  await new Promise(resolve => setTimeout(resolve, 3000))
  expect(existsSync(`/proc/${pid}`)).toBe(true)
  process_.kill('SIGKILL')
  await expect.poll(() => existsSync(`/proc/${pid}`), { timeout: 20_000 }).toBe(false)
}, 40_000)
