import { basename, relative } from 'node:path'

/** A command of ours as it can be pasted into the shell that started this process. */
export function commandLine(...words: string[]): string {
  return [programName(), ...words].map(shellWord).join(' ')
}

/** How a capture gets to a hub, for people; `sha256sum` is in every Linux, `shasum -a 256` in macOS. */
export function uploadCommand(url: string, token: string, file: string): string {
  return `curl -H "Authorization: Bearer ${token}" -T ${file} ${url}/api/v1/captures/${digestOf(file)}`
}

/** How people learn what became of it: the upload's own answer only says that it was received. */
export function followCommand(url: string, token: string, file: string): string {
  return `curl -H "Authorization: Bearer ${token}" "${url}/api/v1/receipts/${digestOf(file)}?wait=30"`
}

function digestOf(file: string): string {
  return `$(${process.platform === 'darwin' ? 'shasum -a 256' : 'sha256sum'} ${file} | cut -c-64)`
}

function programName(): string {
  const script = process.argv[1] ?? ''
  // From a checkout the program is not on the PATH.
  if (basename(script) !== 'hirundo' || script.includes('node_modules')) return 'hirundo'
  const path = relative(process.cwd(), script)
  return path.startsWith('..') ? script : path
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
