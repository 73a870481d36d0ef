import type { ConfigTable } from './config.ts'

/** How much the hub says: each includes those before it. */
export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const
/** auto: words for people on a terminal, JSON elsewhere. */
export const LOG_FORMATS = ['auto', 'json', 'text'] as const

/**
 * The configuration file of a hub (`hirundo serve --config FILE`). The options of `serve` have the same names with
 * hyphens, and win. Paths in the file are relative to the folder that it lies in.
 */
export const HUB_CONFIG = {
  kind: { type: 'text', names: ['hub'], required: true, doc: 'What is configured: "hub".' },
  data: {
    type: 'text',
    default: 'data',
    doc: 'Folder that holds everything of the hub: for its user alone, on a disk of its own if there is one. Default data.',
  },
  host: {
    type: 'text',
    default: '127.0.0.1',
    doc: 'Address to listen on. Default 127.0.0.1; another one needs TLS here or a proxy with TLS in front.',
  },
  port: {
    type: 'integer',
    minimum: 0,
    maximum: 65_535,
    default: 8080,
    doc: 'Port; 0 takes any free one. Default 8080.',
  },
  names: {
    type: 'texts',
    default: [],
    doc: 'Host names by which the hub is reached besides addresses and localhost: that of the certificate, or that of a proxy. Default none.',
  },
  tls_certificate: {
    type: 'text',
    doc: 'PEM file with the certificate and its chain. With tls_key the hub speaks HTTPS only, TLS 1.2 or newer; SIGHUP reads both again. Default none.',
  },
  tls_key: { type: 'text', doc: 'PEM file with the private key, readable for the hub alone. Default none.' },
  geography: {
    type: 'text',
    doc: 'Table of economies: .mmdb, or .csv with prefix,economy. Default: the one that comes with Hirundo.',
  },
  open_reading: {
    type: 'boolean',
    default: false,
    doc: 'Whoever reaches the hub may read everything, without a token; on loopback only. Default false.',
  },
  keep_captures: {
    type: 'boolean',
    default: true,
    doc: 'Raw captures stay in captures/ when they are counted; false removes them. Default true.',
  },
  keep: {
    type: 'texts',
    default: [],
    doc: 'How long each class of data is kept: CLASS=DAYS with captures, batches, flows or rollups, as hirundo retain --help explains. Default: everything for ever.',
  },
  quota_uploads_at_once: {
    type: 'integer',
    minimum: 1,
    maximum: 10_000,
    default: 64,
    doc: 'Uploads of one sensor on their way in at once. Default 64.',
  },
  quota_waiting: {
    type: 'integer',
    minimum: 1,
    maximum: 10_000_000,
    default: 20_000,
    doc: 'Uploads of one sensor that wait to be counted. Default 20000.',
  },
  quota_uploads_a_day: {
    type: 'integer',
    minimum: 1,
    maximum: 100_000_000,
    default: 100_000,
    doc: 'New uploads of one sensor in a UTC day. Default 100000.',
  },
  quota_gigabytes_a_day: {
    type: 'integer',
    minimum: 1,
    maximum: 1_000_000,
    default: 256,
    doc: 'Gigabytes (2^30) of new uploads of one sensor in a UTC day, as sent. Default 256.',
  },
  metrics_port: {
    type: 'integer',
    minimum: 1,
    maximum: 65_535,
    doc: 'Port on 127.0.0.1 that gives /metrics without a token. Default none: then GET /api/v1/metrics with a token of a coordinator.',
  },
  log_level: {
    type: 'text',
    names: LOG_LEVELS,
    default: 'info',
    doc: 'What is logged on standard error: info says what was received, counted and refused, and what was changed; debug each request. Default info.',
  },
  log_format: {
    type: 'text',
    names: LOG_FORMATS,
    default: 'auto',
    doc: 'json: one object a line; text: for people; auto: text on a terminal, else json. Default auto.',
  },
} as const satisfies ConfigTable
