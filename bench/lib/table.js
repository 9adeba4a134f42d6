/** Rows of cells as lines of text: the first column is aligned left, the other columns right. */
export function formatTable (rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) => formatRow(row, widths)).join('\n')
}

function formatRow (row, widths) {
  const cells = row.map((cell, i) => {
    return i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
  })
  return `  ${cells.join('  ')}`.trimEnd()
}
