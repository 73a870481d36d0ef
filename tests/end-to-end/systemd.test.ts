import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Receipt } from '../../schemas/catalog.ts'
import { until } from '../support/hirundo.ts'
import { canBootSystemd, SystemdMachine } from '../support/systemd-machine.ts'

// Goal: the units of deploy/ do their work as they stand there, with all that they forbid themselves. Method: a real
// systemd in namespaces; where containers may not mount anything, also on CI, this is skipped.

const HIRUNDO = '/opt/hirundo/bin/hirundo'
const DATA = '/var/lib/hirundo-hub'
const SPOOL = '/var/lib/hirundo-sensor'
const HUB = 'http://127.0.0.1:8080'
const PACKETS = 5
const CONFIG = {
  ...{ kind: 'sensor', sensor: 'my-1', telescope: ['127.0.0.0/24'], hub: HUB },
  ...{ identity: `${SPOOL}/my-1.identity.json`, spool: SPOOL, watch: '/var/lib/hirundo-capture' },
}

describe.skipIf(!canBootSystemd())('the units under a real systemd', () => {
  let machine: SystemdMachine
  beforeAll(async () => {
    machine = await SystemdMachine.boot()
  })
  afterAll(() => machine?.stop())

  /** What systemd says of a service. */
  async function state(service: string): Promise<Record<string, string>> {
    const text = await machine.succeeds(`systemctl show ${service} -p ActiveState,Result,NRestarts,User`)
    return Object.fromEntries(
      text
        .trim()
        .split('\n')
        .map(line => line.split('=') as [string, string]),
    )
  }

  const receipts = async (): Promise<Receipt[]> =>
    JSON.parse(await machine.succeeds(`${HIRUNDO} upload list --json --data ${DATA}`)).receipts

  it('capture, sensor and hub bring packets of an interface into the numbers', async () => {
    await machine.succeeds('systemctl start hirundo-hub')
    await until('the hub is ready', async () => (await machine.run(`curl -sf ${HUB}/api/v1/ready`)).status === 0)
    await machine.succeeds(`${HIRUNDO} sensor add my-1 --economy JP --telescope 127.0.0.0/24 --data ${DATA}`)
    const code = (await machine.succeeds(`${HIRUNDO} sensor invite my-1 --data ${DATA}`)).trim()
    const asSensor = `runuser -u hirundo-sensor -- ${HIRUNDO}`
    await machine.succeeds(`${asSensor} sensor init --sensor my-1 --out ${SPOOL}`)
    await machine.succeeds(`${asSensor} sensor enrol --identity ${CONFIG.identity} --hub ${HUB} --code ${code}`)
    await machine.succeeds(`echo '${JSON.stringify(CONFIG)}' > /etc/hirundo/sensor.json`)
    await machine.succeeds("printf 'INTERFACE=lo\\nFILTER=udp port 9999\\n' > /etc/hirundo/capture.env")
    await machine.succeeds('systemctl start hirundo-capture hirundo-sensor')
    const journal = async (service: string) => await machine.succeeds(`journalctl -u ${service} -o cat`)
    await until('the sensor reads', async () => (await journal('hirundo-sensor')).includes('reads /var/lib'))
    await until('tcpdump records', async () => (await journal('hirundo-capture')).includes('listening on lo'))
    await machine.succeeds(`for i in {1..${PACKETS}}; do echo x > /dev/udp/127.0.0.77/9999; done`)
    const captured = `stat -c %s /var/lib/hirundo-capture/*.pcap`
    // A file header, and each packet with its header.
    const bytes = 24 + PACKETS * (16 + 14 + 20 + 8 + 2)
    await until('all are in the file', async () => (await machine.succeeds(captured)) === `${bytes}\n`)
    expect(await state('hirundo-capture')).toMatchObject({ ActiveState: 'active', NRestarts: '0' })
    await machine.succeeds('systemctl stop hirundo-capture')
    // A sensor that is told to stop ends its batch, and sends it at the latest when it is started again.
    await machine.succeeds('systemctl stop hirundo-sensor')
    await machine.succeeds('systemctl start hirundo-sensor')
    await until('the hub has counted them', async () => {
      const [receipt] = await receipts()
      return receipt?.state === 'counted' && receipt.packet_count === PACKETS
    })
    await machine.succeeds('systemctl stop hirundo-sensor')
    const ended = { ActiveState: 'inactive', Result: 'success', NRestarts: '0' }
    expect(await state('hirundo-sensor')).toEqual({ ...ended, User: 'hirundo-sensor' })
    await machine.succeeds('systemctl stop hirundo-hub')
    expect(await state('hirundo-hub')).toEqual({ ...ended, User: 'hirundo-hub' })
    // Nobody else sees what the hub and the sensor keep.
    const modes = await machine.succeeds(`stat -c %a ${DATA} ${SPOOL} /var/lib/hirundo-capture`)
    expect(modes).toBe('700\n700\n750\n')
  })
})
