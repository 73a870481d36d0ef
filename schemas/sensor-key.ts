import type { Row, Table } from './column.ts'

/** Public keys by which the hub knows sensors; the private ones never leave the sensors. */
export const SENSOR_KEY = {
  key_id: {
    type: 'text',
    role: 'key',
    sharing: 'members',
    doc: 'Name of the key: the first 32 hexadecimal digits of the SHA-256 of its 32 bytes.',
  },
  sensor: { type: 'text', role: 'note', sharing: 'members', doc: 'The one sensor that it speaks for.' },
  public_key: { type: 'text', role: 'note', sharing: 'members', doc: 'Ed25519 public key, 32 bytes in base64url.' },
  created_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When the hub learnt it.' },
  replaces: {
    type: 'text',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'The key that announced this one as its successor; null for one that was enrolled with a code.',
  },
  first_used_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When a request signed with it was first accepted.',
  },
  valid_until: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When it ends because another replaces it; null for one without a successor.',
  },
  revoked_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When it was revoked; null while valid.',
  },
} as const satisfies Table
export type SensorKey = Row<typeof SENSOR_KEY>

/** One-time codes by which a coordinator lets a sensor enrol its first key. */
export const INVITATION = {
  code_sha256: {
    type: 'text',
    role: 'key',
    sharing: 'withheld',
    doc: 'SHA-256 of the code, hexadecimal; the code itself is shown once and never kept.',
  },
  sensor: { type: 'text', role: 'note', sharing: 'members', doc: 'The one sensor that it is for.' },
  created_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When it was made.' },
  expires_at: { type: 'timestamp_us', role: 'note', sharing: 'members', doc: 'When it ends.' },
  used_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When a key was enrolled with it; null while it was not.',
  },
  key_id: { type: 'text', role: 'note', sharing: 'members', nullable: true, doc: 'The key that was enrolled with it.' },
  withdrawn_at: {
    type: 'timestamp_us',
    role: 'note',
    sharing: 'members',
    nullable: true,
    doc: 'When a newer code for the sensor, or a revocation, ended it.',
  },
} as const satisfies Table

/** How an enrolling sensor sends its key; the request is signed with it, which proves that the sensor holds it. */
export interface EnrolmentRequest {
  readonly sensor: string
  readonly code: string
  /** 32 bytes in base64url. */
  readonly public_key: string
}

/** The hub's public key for receipts, as the hub shows it and as identities keep it. */
export interface HubKey {
  readonly key_id: string
  /** Ed25519, 32 bytes in base64url. */
  readonly public_key: string
}

/** What the hub answers to an enrolment. */
export interface Enrolment {
  readonly sensor: string
  readonly key_id: string
  readonly hub_key: HubKey
}

/**
 * What a new key signs to show that the sensor that announces it holds it.
 * @param keyId of the key that announces
 */
export function successionText(sensor: string, keyId: string, nextKeyId: string): string {
  return `hirundo key succession\n${sensor}\n${keyId}\n${nextKeyId}`
}
