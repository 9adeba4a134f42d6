// What an application does with its routes and connections, over HTTP/2: see helpers/transports.ts.
import { useTransport } from '../helpers/transports'

useTransport('h2c')
import('./features.js')
