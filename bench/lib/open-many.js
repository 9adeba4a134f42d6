/** How many openings run at the same time. */
const CONCURRENCY = 16

/** Calls `open(index)`, which opens a connection, `count` times; resolves when all are open. */
export async function openMany (count, open) {
  let next = 0
  const openInTurn = async () => {
    while (next < count) await open(next++)
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, openInTurn))
}
