import { LOCAL_ACTOR } from '../../../schemas/audit.ts'
import { RECEIPT_STATES, type Receipt, type ReceiptState } from '../../../schemas/catalog.ts'
import type { Command, CommandArguments } from '../../../schemas/command.ts'
import { TelescopeError } from '../../../schemas/errors.ts'
import { administer } from '../hub-client.ts'
import { Inbox } from '../inbox.ts'
import { UploadDecisions } from '../upload-decisions.ts'
import { DATA_DEFAULT, textOption } from './options.ts'
import { printTable } from './print-table.ts'

const LIMIT_DEFAULT = 100
/** What the hub gives at once. */
const LIMIT_MAX = 1000
const ACTIONS = ['accept', 'withdraw', 'retry'] as const
type Action = (typeof ACTIONS)[number]

export const command: Command = {
  summary: 'list uploads of a hub, and decide about those that were not counted or should not be',
  usage: `hirundo upload list [--state STATE] [--sensor ID] [--limit N] [--data DIR] [--json]
hirundo upload accept SHA256... --sensor ID [--data DIR] [--json]
hirundo upload withdraw SHA256... --sensor ID [--data DIR] [--json]
hirundo upload retry SHA256... --sensor ID [--data DIR] [--json]

Works on the hub that runs on the data folder, or on the folder itself when none runs. Decisions are in the audit log.

  accept       counts an upload that is held because another one holds the same traffic, or that was withdrawn
  withdraw     takes a counted or held upload out of the numbers; receipt and bytes stay. When its content was also
               sent in another form, that upload keeps the content in the numbers: withdraw it as well. Of a quarantined
               one it says that nothing is to be done about it
  retry        tries a quarantined upload again, or one of which nothing was for the telescope
  SHA256       one or several, as the list shows them
  --state      ${RECEIPT_STATES.join(', ')}
  --sensor ID  the sensor that sent it
  --limit N    the newest N, at most ${LIMIT_MAX}; default ${LIMIT_DEFAULT}
  --data DIR   data folder of the hub, default ${DATA_DEFAULT}
  --json       print one JSON object`,
  options: {
    state: { type: 'string' },
    sensor: { type: 'string' },
    limit: { type: 'string', default: String(LIMIT_DEFAULT) },
    data: { type: 'string', default: DATA_DEFAULT },
    json: { type: 'boolean', default: false },
  },
  async run(args) {
    const [action, ...names] = args.positionals
    if (action === 'list' && names.length === 0) return await list(args)
    if (isAction(action) && names.length > 0) {
      const uploads = names.map(digestOf)
      for (const sha256 of uploads) await decide(action, sha256, args)
      return 0
    }
    throw new TelescopeError(
      'USAGE',
      'upload: say "upload list", or "upload accept", "withdraw" or "retry" with a SHA-256; see hirundo upload --help',
    )
  },
}

function isAction(text: string | undefined): text is Action {
  return (ACTIONS as readonly (string | undefined)[]).includes(text)
}

async function list({ values }: CommandArguments): Promise<number> {
  const filter = {
    ...(values['state'] === undefined ? {} : { state: stateOption(textOption(values, 'state')) }),
    ...(values['sensor'] === undefined ? {} : { sensor: textOption(values, 'sensor') }),
  }
  const limit = limitOption(textOption(values, 'limit'))
  const { receipts } = await administer<{ receipts: Receipt[] }>(
    textOption(values, 'data'),
    { method: 'GET', path: `/api/v1/receipts?${new URLSearchParams({ ...filter, limit: String(limit) })}` },
    async storage => ({ receipts: await storage.listReceipts({ ...filter, limit }) }),
  )
  if (values['json']) process.stdout.write(`${JSON.stringify({ receipts })}\n`)
  else {
    printTable(
      ['received', 'sensor', 'sha256', 'kind', 'state', 'packets read', 'kept', 'remark'],
      receipts.map(receipt => [
        receipt.received_at,
        receipt.sensor,
        receipt.sha256,
        receipt.kind,
        receipt.state,
        String(receipt.packet_count ?? ''),
        String(receipt.packet_kept_count ?? ''),
        receipt.error_message ?? remarkOf(receipt),
      ]),
    )
    if (receipts.length === limit)
      process.stdout.write(`the newest ${limit}; --limit N shows more, --state and --sensor fewer\n`)
  }
  return 0
}

function digestOf(name: string): string {
  const sha256 = name.toLowerCase()
  if (/^[0-9a-f]{64}$/.test(sha256)) return sha256
  throw new TelescopeError('USAGE', `upload "${name}" is not named by a SHA-256 of 64 hexadecimal digits`)
}

async function decide(action: Action, sha256: string, { values }: CommandArguments): Promise<void> {
  const decision = { sensor: textOption(values, 'sensor'), sha256, actor: LOCAL_ACTOR }
  const receipt = await administer<Receipt>(
    textOption(values, 'data'),
    {
      method: 'POST',
      path: `/api/v1/receipts/${sha256}/${action}?${new URLSearchParams({ sensor: decision.sensor })}`,
    },
    async (storage, folder) => {
      const decisions = new UploadDecisions({ storage, inbox: new Inbox(folder, true), onReceived: () => {} })
      return action === 'withdraw' ? await decisions.withdraw(decision) : await decisions.reopen(action, decision)
    },
  )
  if (values['json']) process.stdout.write(`${JSON.stringify(receipt)}\n`)
  else {
    const next = receipt.state === 'received' ? ': the hub counts it next' : ''
    process.stdout.write(`upload ${sha256} of sensor ${decision.sensor} is ${receipt.state}${next}\n`)
    if (receipt.state === 'withdrawn' && receipt.duplicate_of !== null) {
      process.stdout.write(
        `its content stays in the numbers: upload ${receipt.duplicate_of} holds the same; withdraw that one as well to take it out\n`,
      )
    }
  }
}

function remarkOf({ duplicate_of }: Receipt): string {
  return duplicate_of === null ? '' : `adds nothing: the same content as upload ${duplicate_of}`
}

function limitOption(text: string): number {
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= LIMIT_MAX) return limit
  throw new TelescopeError('USAGE', `option --limit is "${text}", expected 1 to ${LIMIT_MAX}`, { option: 'limit' })
}

function stateOption(text: string): ReceiptState {
  const state = RECEIPT_STATES.find(known => known === text)
  if (state) return state
  throw new TelescopeError('USAGE', `option --state is "${text}", expected ${RECEIPT_STATES.join(', ')}`, {
    option: 'state',
  })
}
