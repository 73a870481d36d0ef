/**
 * A small table of the catalog by its key, kept in memory: each request asks who sends it, and a statement takes longer
 * than all else that it is asked for. One process owns the catalog, so that nothing changes behind its back.
 */
export class KeptTable<Row> {
  readonly #read: () => Promise<ReadonlyMap<string, Row>>
  #kept: ReadonlyMap<string, Row> | null = null
  #changes = 0

  constructor(read: () => Promise<ReadonlyMap<string, Row>>) {
    this.#read = read
  }

  /** All rows, in the order in which they are read. */
  async rows(): Promise<ReadonlyMap<string, Row>> {
    if (this.#kept !== null) return this.#kept
    const changes = this.#changes
    const rows = await this.#read()
    if (changes === this.#changes) this.#kept = rows
    return rows
  }

  async find(key: string): Promise<Row | null> {
    return (await this.rows()).get(key) ?? null
  }

  /** Runs work that may change the table; whoever asks after it gets what it has left. */
  async changing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      this.#changes++
      this.#kept = null
    }
  }
}
