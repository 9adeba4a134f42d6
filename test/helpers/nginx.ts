import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Program, type Result } from './program'
import { turn } from './streams'

/** Where systems install it, which need not be on the path. */
const NGINX = [process.env['NGINX'], 'nginx', '/usr/sbin/nginx'].find((file) => {
  return file !== undefined && spawnSync(file, ['-v']).status === 0
})

/** Whether there is an nginx to test with. */
export const hasNginx = NGINX !== undefined

/** Runs nginx in the foreground, with what stands in its `http` block, until the test ends. */
export async function startNginx (t: Test, http: string, port: number): Promise<void> {
  const folder = t.testdir({
    'nginx.conf': `
      daemon off;
      master_process off;
      error_log stderr;
      pid nginx.pid;
      events {}
      http {
        access_log off;
        client_body_temp_path body;
        proxy_temp_path proxy;
        fastcgi_temp_path fastcgi;
        uwsgi_temp_path uwsgi;
        scgi_temp_path scgi;
        ${http}
      }`
  })
  const args = ['-p', folder, '-e', 'stderr', '-c', join(folder, 'nginx.conf')]
  const program = new Program(t, NGINX ?? 'nginx', args)
  const progress: { result?: Result } = {}
  program.ended.then((result) => { progress.result = result })
  while (!await accepts(port)) {
    if (progress.result !== undefined) throw new Error(progress.result.output)
    await turn()
  }
}

/** Whether somebody listens on a port. */
export async function accepts (port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
