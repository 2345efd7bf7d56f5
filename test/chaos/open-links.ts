import type { Links, LinksName } from './links.ts'
import { NamespaceLinks } from './namespace-links.ts'
import { ProxyLinks } from './proxy-links.ts'

/** `auto`: namespaces where the machine allows them, else proxies, and the reason is told. @throws Error for `namespaces`, where the machine does not */
export async function openLinks(name: LinksName, ids: readonly number[], say: (line: string) => void): Promise<Links> {
  if (name !== 'proxy') {
    try {
      const links = await NamespaceLinks.open(ids)
      say('links: a network namespace for each member, veth, a bridge')
      return links
    } catch (error) {
      if (name === 'namespaces') throw error
      say(`links: no network namespaces, since ${(error as Error).message}`)
    }
  }
  const links = await ProxyLinks.open(ids)
  say('links: a proxy for each direction between two members, in this process')
  return links
}
