/**
 * Why a test is skipped that needs a program which is not on every machine, or false.
 *
 * @param isThere whether the program is
 * @param reason what to do where it is not
 * @throws where nothing may be skipped: in continuous integration, which sets `CI`
 */
export function whySkip (
  isThere: boolean, reason: string, { CI = '' }: NodeJS.ProcessEnv = process.env
): string | false {
  if (isThere) return false
  if (CI !== '' && CI !== 'false') throw new Error(reason)
  return reason
}
