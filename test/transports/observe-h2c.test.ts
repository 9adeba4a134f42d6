// What is counted and told of connections, over HTTP/2: see helpers/transports.ts.
import { useTransport } from '../helpers/transports'

useTransport('h2c')
import('./observe.js')
