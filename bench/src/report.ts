export interface Result {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** Ours over what `against` names, measured in the same run; null when there is nothing to compare with. */
  readonly ratio: number | null
  readonly against: string | null
}

export interface Comparison {
  readonly value: number
  readonly against: string
}

/** `yardstick` is measured in the same run, in the same unit. */
export function result(name: string, value: number, unit: string, better: Result['better'], yardstick: Comparison | null): Result {
  return {
    name,
    value: rounded(value),
    unit,
    better,
    ratio: yardstick === null ? null : Math.round((value / yardstick.value) * 1000) / 1000,
    against: yardstick === null ? null : `${yardstick.against} (${rounded(yardstick.value)} ${unit})`,
  }
}

/** Four digits that mean something. */
function rounded(value: number): number {
  return Number(value.toPrecision(4))
}

export function lineOf(one: Result): string {
  const compared = one.ratio === null ? '' : `  ${one.ratio.toFixed(2)} of ${one.against}`
  return `${one.name.padEnd(26)} ${one.value.toLocaleString('en').padStart(12)} ${one.unit.padEnd(10)}${compared}`
}
