import { UPLOAD_STRINGS_EN, type UploadStrings } from './upload-strings-en.ts'
import { UPLOAD_STRINGS_JA } from './upload-strings-ja.ts'

/** The language of the uploads page: the browser's own, where there is a catalogue. */
export const UPLOAD_LANGUAGE = /^ja\b/i.test(globalThis.navigator?.language ?? '') ? 'ja' : 'en'
export const UPLOAD_STRINGS: UploadStrings = UPLOAD_LANGUAGE === 'ja' ? UPLOAD_STRINGS_JA : UPLOAD_STRINGS_EN
