/** Prints each problem and makes the process exit with 1, or prints `passed` if there is none. */
export function reportVerdict (problems, passed) {
  for (const problem of problems) console.log(`\nFAILED: ${problem}`)
  if (problems.length > 0) process.exitCode = 1
  else console.log(`\nPassed: ${passed}`)
}
