// Connections in memory, over HTTP/2: see helpers/transports.ts.
import { useTransport } from '../helpers/transports'

useTransport('h2c')
import('../inject/inject.test.js')
