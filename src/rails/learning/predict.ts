import type { LinearModel, TreeModel } from '../model/bundle.schema.js';

/** Log odds of many rows at once: the same additions in the same order as `scoreOf`, without its contributions. NaN is missing. */
export function logOddsOf(
  model: LinearModel | TreeModel,
  columns: readonly Float64Array[],
  rows: number,
): Float64Array {
  const logOdds = new Float64Array(rows);
  if (model.format === 'probity.linear.v1') addLinear(model, columns, logOdds);
  else {
    logOdds.fill(model.base);
    for (const tree of model.trees) addTree(tree, columns, logOdds);
  }
  return logOdds;
}

function addLinear({ inputs, intercept }: LinearModel, columns: readonly Float64Array[], logOdds: Float64Array): void {
  logOdds.fill(intercept);
  inputs.forEach(({ cap, mean, deviation, weight, weight_missing }, at) => {
    const column = columns[at] ?? new Float64Array(0);
    for (let row = 0; row < logOdds.length; row += 1) {
      const x = column[row] ?? Number.NaN;
      const contribution = Number.isNaN(x)
        ? weight_missing
        : (weight * ((cap === undefined ? x : Math.min(x, cap)) - mean)) / deviation;
      logOdds[row] = (logOdds[row] ?? 0) + contribution;
    }
  });
}

function addTree(nodes: TreeModel['trees'][number], columns: readonly Float64Array[], logOdds: Float64Array): void {
  const input = Int32Array.from(nodes, ({ split }) => split?.input ?? -1);
  const threshold = Float64Array.from(nodes, ({ split }) => split?.threshold ?? 0);
  const left = Int32Array.from(nodes, ({ split }) => split?.left ?? 0);
  const right = Int32Array.from(nodes, ({ split }) => split?.right ?? 0);
  const missingLeft = Uint8Array.from(nodes, ({ split }) => (split?.missing === 'left' ? 1 : 0));
  const value = Float64Array.from(nodes, (node) => node.value);
  for (let row = 0; row < logOdds.length; row += 1) {
    let node = 0;
    for (let asked = input[0] ?? -1; asked >= 0; asked = input[node] ?? -1) {
      const x = columns[asked]?.[row] ?? Number.NaN;
      const goesLeft = Number.isNaN(x) ? missingLeft[node] === 1 : x < (threshold[node] ?? 0);
      node = (goesLeft ? left[node] : right[node]) ?? 0;
    }
    logOdds[row] = (logOdds[row] ?? 0) + (value[node] ?? 0);
  }
}
