import { createRequire } from 'node:module'

/**
 * apache-arrow from the one minified file that the package carries: its 150 modules take 170 ms to load, this file
 * 15 ms, and a sensor runs the collector for a few seconds of packets. Types come from the package as usual.
 */
export const arrow = createRequire(import.meta.url)('apache-arrow/Arrow.es2015.min') as typeof import('apache-arrow')
