/** How long the hub waits for others. Uploads may take hours; nothing else may. */

/** No answer but an upload's may take longer. */
export const HANDLER_MILLISECONDS = 30_000
/** A connection on which nothing moves for so long is closed; longer than the fsync of the largest upload takes. */
export const CONNECTION_IDLE_MILLISECONDS = 120_000
/** The head of a request, from its first byte on; looked at every half minute, by Node's own clock. */
export const HEADERS_MILLISECONDS = 60_000
/** The whole of a request: the largest capture at 2 Mbit/s takes five hours. */
export const REQUEST_MILLISECONDS = 6 * 3600 * 1000
export const KEEP_ALIVE_MILLISECONDS = 10_000
/** Uploads under way when the hub is told to stop may end within this time; they got no receipt and are sent again. */
export const STOP_MILLISECONDS = 3000
