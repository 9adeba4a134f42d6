import { startExample, type Program } from './program'
import type { Teardown } from './servers'

/** The token of the tests. */
export const TOKEN = 'of-the-tests-0123456789'

/** The dashboard example, running. */
export interface Running {
  readonly program: Program
  /** The `ws://` origin of the application. */
  readonly application: string
  /** The `http://` origin of the dashboard. */
  readonly dashboard: string
}

/** Starts the dashboard example, on free ports if no other is given. */
export async function startDashboard (
  t: Teardown, { port = '0', env = {} }: { port?: string, env?: NodeJS.ProcessEnv } = {}
): Promise<Running> {
  const program = startExample(t, 'dashboard/server.ts', '0', {
    DASHBOARD_PORT: port, DASHBOARD_TOKEN: TOKEN, ...env
  })
  const address = await program.address()
  const [, dashboard = ''] = await program.until(/Dashboard on (http:\/\/[\w.:]+)/)
  return { program, application: address.replace('http', 'ws'), dashboard }
}
