/** Sentences of the uploads page, the one that operators use, in English; strings.ts has those of all others. */
export const UPLOAD_STRINGS_EN = {
  title: 'Uploads',
  sendTitle: 'Send captures',
  fateTitle: 'What became of them',

  token: 'Token of the sensor',
  tokenUse: 'Use token',
  tokenWhy:
    'The coordinator gave it to you with the sensor. This tab keeps it until you close it or forget it here; it is in no address and no cookie, and goes to this hub only.',
  tokenNeeded: 'Your sign-in may read and not send: paste the token of the sensor.',
  tokenChecking: 'Checking the token …',
  tokenIsAnalyst: 'This token may read and not send. Sending needs the token of a sensor or of a coordinator.',
  tokenForget: 'Forget token',
  asSensor: (sensor: string) => `Captures go to the sensor ${sensor}.`,
  chooseSensor: 'Sensor',
  noSensor: 'No sensor is registered yet. A coordinator adds one: hirundo sensor add.',

  drop: 'Drop captures here, or',
  choose: 'Choose files',
  dropHint: (size: string) =>
    `pcap, pcapng or snoop; plain, or in gzip, zstd or xz; one capture a file, at most ${size}. Sending goes on where it stopped: after a broken line, after a reload, after a day.`,
  dropFirst: 'First say above which sensor they are of.',
  folders: (names: string) => `Folders cannot be sent; choose the files in them: ${names}`,

  queueTitle: 'Files being sent',
  progressOf: (name: string) => `${name}: sent`,
  progress: (sent: string, total: string) => `${sent} of ${total}`,
  speed: (speed: string) => `${speed}/s`,
  timeLeft: (time: string) => `${time} left`,
  seconds: (count: number) => `${count} s`,
  minutes: (count: number) => `${count} min`,
  hoursMinutes: (hours: number, minutes: number) => `${hours} h ${minutes} min`,
  hours: (count: number) => `${count} h`,
  days: (count: number) => `${count} d`,
  phase: {
    asks: 'This does not look like a capture: its first bytes are neither pcap, pcapng, snoop, gzip, zstd nor xz.',
    queued: 'Waits for the one before',
    sending: 'Sending',
    paused: 'Paused',
    file: 'Choose this file again, or drop it here, and it goes on',
    permission: 'The browser asks before it opens the file again',
    credential: 'Waits for a token that may send for this sensor',
    elsewhere: 'Another tab is sending it; this one goes on when that is closed',
    refused: 'Not received',
    received: 'Received',
  },
  receivedWithdrawn: 'Received before, and withdrawn: “Count it again” in the list below brings it back',
  trouble: (message: string) => `${message}. It is tried again by itself.`,
  tryNow: 'Try now',
  pause: 'Pause',
  resume: 'Go on',
  sendAnyway: 'Send it all the same',
  again: 'Try again',
  cancel: 'Cancel',
  remove: 'Remove',
  actionOn: (action: string, name: string) => `${action}: ${name}`,

  healthTitle: 'How the sensors are doing',
  healthColumns: {
    sensor: 'Sensor',
    last_upload_at: 'Last upload (UTC)',
    usual_interval_seconds: 'Usually every',
    coverage_7d: 'Listened, 7 days',
    missing_sequence_count: 'Never came',
    late_upload_count: 'Late, 7 days',
    clock_skew_seconds: 'Clock',
    held_count: 'Held back',
    quarantined_count: 'Unreadable',
    withdrawn_count: 'Withdrawn',
  },
  silent: 'silent',
  nothingYet: 'nothing yet',
  missing: (numbers: string, reason: string) => `no. ${numbers}: ${reason}`,
  gapReasons: {
    unknown: 'nobody said why',
    evicted: 'the spool was full',
    refused: 'the hub refused it; see the spool',
    damaged: 'damaged on the disk of the sensor',
    removed: 'taken out of the spool',
  } as Readonly<Record<string, string>>,

  receiptsClosed: 'Paste the token of a sensor above, or sign in as coordinator, to see what became of its uploads.',
  signIn: 'Sign in',
  state: 'State',
  stateAll: 'all',
  sensorAll: 'all',
  filter: 'Show uploads',
  states: {
    received: 'waiting',
    counted: 'counted',
    quarantined: 'unreadable',
    held: 'held back',
    withdrawn: 'withdrawn',
  } as Readonly<Record<string, string>>,
  stateMeaning: {
    received: 'Its bytes are safe on the disk of the hub, and will be counted once, shortly.',
    counted: 'Its packets are in the numbers, once.',
    quarantined: 'It could not be read, and nothing of it is in the numbers. The bytes are kept.',
    held: 'It was read, and is not in the numbers yet: it overlaps another upload of this sensor. You decide.',
    withdrawn:
      'It was taken out of the numbers. The bytes are kept for as long as all others, and until then it can be counted again.',
  } as Readonly<Record<string, string>>,
  columns: {
    received_at: 'Received (UTC)',
    sensor: 'Sensor',
    state: 'State',
    byte_count: 'Size',
    packet_count: 'Packets',
    drops: 'Left out',
    remark: 'What to know',
    actions: 'Decide',
  },
  kinds: { capture: 'capture', batch: 'batch' } as Readonly<Record<string, string>>,
  ofPackets: (kept: string) => `${kept} counted`,
  dropsNone: 'none',
  drops: {
    link_type_unsupported: 'link type is not read',
    link_header_truncated: 'cut in the link header',
    not_ip: 'no IP',
    ip_version_invalid: 'wrong IP version',
    ip_header_truncated: 'cut in the IP header',
    ip_header_invalid: 'impossible IP header',
    not_for_telescope: 'not for this telescope',
    from_telescope: 'from the telescope itself',
    transport_truncated: 'cut before the ports',
    time_invalid: 'impossible time',
    interface_unknown: 'unknown interface',
    tunnel_header_truncated: 'cut in a tunnel header',
    ip_checksum_invalid: 'wrong IP checksum',
    transport_checksum_invalid: 'wrong checksum',
  } as Readonly<Record<string, string>>,
  sameContent: (digest: string) =>
    `The same content came before, as ${digest}; it is in the numbers once. There is nothing to do.`,
  overlaps: (uploads: string) => `Holds traffic that came before, in ${uploads}.`,
  overlapOf: (digest: string, received: string) => `${digest} (${received})`,
  advice: {
    CAPTURE_EMPTY: 'The file has no bytes: look whether the capture program runs and may write.',
    CAPTURE_FORMAT_UNKNOWN: 'Send the capture itself, as tcpdump or Wireshark saves it.',
    CAPTURE_VERSION_UNSUPPORTED: 'Save it anew with a current tcpdump or with editcap, and send that.',
    CAPTURE_HEADER_INVALID: 'The file is damaged at its beginning. Send the original, if there is one.',
    CAPTURE_TRUNCATED: 'What lies before the cut counts. If the original is whole, send that, and withdraw this one.',
    CAPTURE_RECORD_INVALID: 'At most what lies before the damage counts. If the original is whole, send that.',
    CAPTURE_CONCATENATED: 'Send the captures one by one, or join them with mergecap instead of cat.',
    CAPTURE_TIME_BACKWARDS: 'The clock of the sensor jumped. See that it keeps time (chrony, ntpd).',
    CAPTURE_TIME_AHEAD: 'The clock of the sensor is ahead. See that it keeps time (chrony, ntpd).',
    CAPTURE_OFF_TELESCOPE:
      'Either it is the capture of another sensor, or the prefixes registered for this one are not those it listens to. Ask the coordinator.',
    BATCH_TELESCOPE_MISMATCH:
      'Its rates would be wrong. Compare the prefixes of collect with the registered ones; ask the coordinator.',
    CAPTURE_OVERLAPS:
      'If both are of the same packets, withdraw one of them. If two recorders shared the addresses, count it, too.',
    LINK_TYPE_UNSUPPORTED: 'Record on an Ethernet, IP or “any” interface.',
    COMPRESSION_INVALID: 'The compression is damaged or cut short. Compress the original again, and send that.',
    COMPRESSION_UNSUPPORTED: 'Decompress it, or use gzip, and send that.',
    COMPRESSION_BOMB: 'It grows beyond what captures do. Decompress it, and send that.',
    BATCH_INVALID: 'Update Hirundo at the sensor, and send it again.',
    BATCH_VERSION_UNSUPPORTED: 'Use the same version of Hirundo at the sensor and at the hub.',
    BATCH_SENSOR_MISMATCH: 'Send it with the token of the sensor that it is of.',
    UPLOAD_DAYS_TOO_MANY:
      'Split it (editcap -A, -B), and send the parts. If it is no archive, set the clock that recorded it.',
    PARSE_FAILED: 'Reading it took too long or too much memory. Try again; if it stays so, cut it (editcap -c).',
    BODY_TOO_LARGE: 'Cut it (editcap -c), and send the parts.',
    DIGEST_MISMATCH: 'The file changed while it was being sent. Send it again when it is finished.',
    DISK_FULL: 'The disk of the hub is full: tell whoever runs it.',
    SENSOR_UNKNOWN: 'Ask the coordinator whether the sensor is still registered.',
  } as Readonly<Record<string, string>>,
  actions: { accept: 'Count it, too', recount: 'Count it again', withdraw: 'Withdraw', retry: 'Try again' },
  actionDone: { accept: 'It will be counted.', withdraw: 'It is withdrawn.', retry: 'It is tried again.' },
  withdrawTitle: 'Withdraw this upload?',
  withdrawText: (packets: string, received: string) =>
    `The upload of ${received}, with ${packets} packets, leaves every number, also those of the past. Sending the same file again does not bring it back; “Count it again” does, for as long as its bytes are kept. The log of the hub says who withdrew it.`,
  withdrawHeldText: (packets: string, received: string) =>
    `The upload of ${received}, with ${packets} packets, is in no number and stays out. “Count it again” brings it in, for as long as its bytes are kept. The log of the hub says who withdrew it.`,
  withdrawGo: 'Withdraw',
  keep: 'Keep it',

  emptyTitle: 'Nothing was received so far',
  empty:
    'Drop a capture above, or send one from a terminal. Whatever was received is listed here with what became of it, within seconds.',
  emptyState: (state: string) => `No upload is ${state}.`,
  showAll: 'Show all',
  cut: (count: string) => `The ${count} newest are shown.`,
} as const

type Translated<T> = {
  readonly [K in keyof T]: T[K] extends string
    ? string
    : T[K] extends (...values: infer V) => string
      ? (...values: V) => string
      : Translated<T[K]>
}
/** What every language must have. */
export type UploadStrings = Translated<typeof UPLOAD_STRINGS_EN>
