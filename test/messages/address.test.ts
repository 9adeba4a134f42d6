import findMyWay from 'find-my-way'
import { test } from 'tap'
import { addressOf } from '../../src/messages/asyncapi/address'

/** URLs of routes, and a path that leads to each. */
const ROUTES: ReadonlyArray<readonly [url: string, address: string, path: string]> = [
  ['/', '/', '/'],
  ['/rooms/:room', '/rooms/{room}', '/rooms/7'],
  ['/i/:x(^\\($)/y', '/i/{x}/y', '/i/(/y'],
  ['/i/:x(^\\)$)/y', '/i/{x}/y', '/i/)/y'],
  ['/i/:x(^[\\(]\\d$)/:y', '/i/{x}/{y}', '/i/(7/y'],
  ['/i/:x(^(?:a|b)$)/y', '/i/{x}/y', '/i/a/y'],
  ['/i/:x(^a*$)-:y.z', '/i/{x}-{y}.z', '/i/aa-b.z'],
  ['/i/:x(^a$)?/y', '/i/{x}?/y', '/i/a%3F/y'],
  ['/i(j)/k', '/i(j)/k', '/i(j)/k'],
  ['/i/:größe/k', '/i/{größe}/k', '/i/7/k'],
  ['/i/:x-*', '/i/{x}-*', '/i/a-*'],
  ['/i/:x/*', '/i/{x}/{wildcard}', '/i/a/b/c'],
  ['/i/:x?', '/i/{x}', '/i/a'],
  ['/i/:x-:y?/', '/i/{x}-{y}/', '/i/a-b/'],
  ['/i::j/:x', '/i:j/{x}', '/i:j/a'],
  ['/i/:x-a::b', '/i/{x}-a:b', '/i/7-a:b']
]

for (const [url, expected, path] of ROUTES) {
  test(`the address of ${url} has the parameters that the router finds`, async (t) => {
    const { address, parameters } = addressOf(url)
    t.equal(address, expected)
    const router = findMyWay()
    router.on('GET', url, () => {})
    const found = Object.keys(router.find('GET', path)?.params ?? { none: true })
    t.same(parameters, found.map((name) => name === '*' ? 'wildcard' : name))
  })
}
