// Suites of other files, over a transport of their own: see helpers/transports.ts.
import { useTransport } from '../helpers/transports'

useTransport('h2c')
import('./suites.js')
