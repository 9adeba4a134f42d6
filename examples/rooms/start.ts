// Rooms on several processes behind nginx, with Redis between them: `redis-server` and `nginx` have
// to be installed. Run it with `node --import tsx examples/rooms/start.ts`, and connect to
// ws://127.0.0.1:8080/rooms/one from as many clients as you like. Ctrl+C ends all of it.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROCESSES = Number(process.env.PROCESSES ?? 3)
const PORT = Number(process.env.PORT ?? 8080)

const folder = mkdtempSync(join(tmpdir(), 'rooms-'))
const children: ChildProcess[] = []

function run (command: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(command, args, {
    env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit']
  })
  child.on('error', (error) => { stop(error) })
  child.on('exit', (code) => { if (!isStopping) stop(new Error(`${command} ended with ${code}`)) })
  children.push(child)
  return child
}

let isStopping = false

async function stop (error?: Error): Promise<void> {
  if (isStopping) return
  isStopping = true
  if (error !== undefined) {
    console.error(error.message)
    process.exitCode = 1
  }
  const running = children.filter(({ pid, exitCode }) => pid !== undefined && exitCode === null)
  const ended = running.map((child) => once(child, 'exit'))
  for (const child of running) child.kill()
  await Promise.all(ended)
  rmSync(folder, { recursive: true })
}

async function findPort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts Redis, and returns its URL once it takes connections. */
async function startRedis (): Promise<string> {
  const port = await findPort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder]
  const redis = run('redis-server', args)
  for await (const text of redis.stdout ?? []) {
    if (String(text).includes('Ready to accept connections')) break
  }
  return `redis://127.0.0.1:${port}`
}

/** Starts a process of the rooms, and returns its port once it listens. */
async function startProcess (url: string): Promise<number> {
  const port = await findPort()
  const args = ['--import', 'tsx', join(__dirname, 'server.ts')]
  const child = run(process.execPath, args, { REDIS_URL: url, PORT: String(port) })
  if (child.stdout !== null) await once(child.stdout, 'data')
  return port
}

function startNginx (ports: number[]): void {
  const file = join(folder, 'nginx.conf')
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => {
    return `${name}_temp_path ${folder}/${name};`
  })
  writeFileSync(file, `
    daemon off;
    pid ${folder}/nginx.pid;
    error_log stderr;
    events {}
    http {
      access_log off;
      ${paths.join('\n')}
      upstream rooms { ${ports.map((port) => `server 127.0.0.1:${port};`).join(' ')} }
      server {
        listen 127.0.0.1:${PORT};
        location / {
          proxy_pass http://rooms;
          proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection upgrade;
          proxy_read_timeout 75s;
        }
      }
    }`)
  // Debian installs nginx where the path of a user does not lead.
  const env = { PATH: `${process.env.PATH}:/usr/sbin` }
  run('nginx', ['-p', folder, '-e', 'stderr', '-c', file], env)
}

async function main (): Promise<void> {
  const url = await startRedis()
  const ports = await Promise.all(Array.from({ length: PROCESSES }, () => startProcess(url)))
  startNginx(ports)
  console.log(`${PROCESSES} processes behind http://127.0.0.1:${PORT}`)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop())
main().catch(stop)
