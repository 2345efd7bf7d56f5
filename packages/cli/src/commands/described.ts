import type { Configuration } from '@antiphon/ports'

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

export function membersText({ members }: Configuration): string {
  return members
    .map(({ id, role, weight, group, storeId }) => {
      const standing = [...(role === 'voter' && weight !== 1 ? [`weight ${weight}`] : []), ...(group === 0 ? [] : [`group ${group}`])]
      return `  ${id} ${[role, ...standing].join(', ')}${storeId === null ? '' : `, store ${storeId}`}`
    })
    .join('\n')
}

/** Words in front, aligned. */
export function lines(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join('')
}
