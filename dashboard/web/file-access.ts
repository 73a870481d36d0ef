/** Files as browsers hand them over: some with a handle by which the page opens them again after a reload. */

export interface ChosenFile {
  readonly file: File
  readonly handle: FileSystemFileHandle | null
}

/** What Chromium has beyond the standard that all browsers share. */
interface PermissionHandle extends FileSystemFileHandle {
  queryPermission?(options: { mode: 'read' }): Promise<PermissionState>
  requestPermission?(options: { mode: 'read' }): Promise<PermissionState>
}
interface PickerWindow {
  showOpenFilePicker?(options: { multiple: boolean }): Promise<FileSystemFileHandle[]>
}
interface HandleItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>
}

/** Whether the browser has a picker whose files can be opened again later. */
export function hasHandlePicker(): boolean {
  return (window as PickerWindow).showOpenFilePicker !== undefined
}

/** Asks for files with that picker; none when the person closes it. */
export async function pickFiles(): Promise<ChosenFile[]> {
  let handles: FileSystemFileHandle[]
  try {
    handles = await (window as PickerWindow).showOpenFilePicker!({ multiple: true })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return []
    throw error
  }
  return await Promise.all(handles.map(async handle => ({ file: await handle.getFile(), handle })))
}

/**
 * The files that were dropped. Must be called while the event is being handled: the browser takes the list away after.
 * @returns folders by name, since only files can be sent
 */
export async function droppedFiles(transfer: DataTransfer): Promise<{ files: ChosenFile[]; folders: string[] }> {
  const dropped = [...transfer.items]
    .filter(item => item.kind === 'file')
    .map(item => ({
      file: item.getAsFile(),
      entry: item.webkitGetAsEntry(),
      handle: (item as HandleItem).getAsFileSystemHandle?.().catch(() => null) ?? Promise.resolve(null),
    }))
  const files: ChosenFile[] = []
  const folders: string[] = []
  for (const { file, entry, handle } of dropped) {
    if (entry?.isDirectory) folders.push(entry.name)
    else if (file !== null) {
      const opened = await handle
      files.push({ file, handle: opened?.kind === 'file' ? (opened as FileSystemFileHandle) : null })
    }
  }
  return { files, folders }
}

/**
 * Opens a file again. `ask` may show a question of the browser, and only works within a click.
 * @returns null when it is not allowed (yet), or the file is gone
 */
export async function reopenFile(handle: FileSystemFileHandle, ask: boolean): Promise<File | null> {
  const permission: PermissionHandle = handle
  try {
    const options = { mode: 'read' } as const
    let state = (await permission.queryPermission?.(options)) ?? 'granted'
    if (state === 'prompt' && ask) state = (await permission.requestPermission?.(options)) ?? 'granted'
    return state === 'granted' ? await handle.getFile() : null
  } catch {
    return null
  }
}
