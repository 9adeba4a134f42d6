import type { IncomingMessage } from 'node:http'
import { kUpgrade, type MarkedRequest } from './symbols'
import type { UpgradeAnswer } from './upgrade-answer'

/** The answer to an upgrade, by its raw request, or undefined if the request is no upgrade. */
export function upgradeOf (raw: IncomingMessage | undefined): UpgradeAnswer | undefined {
  // `attachTo` puts it there, under a symbol that the type of a request does not have.
  return (raw as MarkedRequest<UpgradeAnswer> | undefined)?.[kUpgrade]
}
