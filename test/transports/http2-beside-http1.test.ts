// Suites of other files, over a transport of their own: see helpers/transports.ts.
import { useTransport } from '../helpers/transports'

useTransport('HTTP/2 beside HTTP/1')
import('./suites.js')
