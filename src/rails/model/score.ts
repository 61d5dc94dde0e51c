import type { LinearModel, TreeModel } from './bundle.schema.js';
import { logisticE6 } from './exp.js';

type TreeNode = TreeModel['trees'][number][number];

/** In the order of the model's inputs; null is missing. */
export type Inputs = readonly (number | null)[];

export interface Score {
  readonly scoreE6: number;
  /** Log odds before anything was read. */
  readonly base: number;
  /** What each input added to the log odds: base + Σ = log odds, exactly as it was added up. */
  readonly contributions: readonly number[];
  readonly logOdds: number;
}

/** One event. Sums run in the order of the inputs or trees, so that every machine adds alike. */
export function scoreOf({ model }: { readonly model: LinearModel | TreeModel }, inputs: Inputs): Score {
  return model.format === 'probity.linear.v1' ? linear(model, inputs) : trees(model, inputs);
}

function linear({ inputs: definitions, intercept }: LinearModel, inputs: Inputs): Score {
  let logOdds = intercept;
  const contributions = definitions.map(({ cap, mean, deviation, weight, weight_missing }, at) => {
    const x = inputs[at] ?? null;
    const contribution =
      x === null ? weight_missing : (weight * ((cap === undefined ? x : Math.min(x, cap)) - mean)) / deviation;
    logOdds += contribution;
    return contribution;
  });
  return { scoreE6: logisticE6(logOdds), base: intercept, contributions, logOdds };
}

/** Each step from a node to its child moves the expectation; the step belongs to the input that was asked (Saabas, 2014). */
function trees(model: TreeModel, inputs: Inputs): Score {
  const contributions = model.inputs.map(() => 0);
  let base = model.base;
  let logOdds = model.base;
  for (const nodes of model.trees) {
    let node: TreeNode | undefined = nodes[0];
    base += node?.value ?? 0;
    while (node?.split !== undefined) {
      const { input, threshold, left, right, missing } = node.split;
      const x = inputs[input] ?? null;
      const goesLeft = x === null ? missing === 'left' : x < threshold;
      const next: TreeNode | undefined = nodes[goesLeft ? left : right];
      contributions[input] = (contributions[input] ?? 0) + ((next?.value ?? 0) - node.value);
      node = next;
    }
    logOdds += node?.value ?? 0;
  }
  return { scoreE6: logisticE6(logOdds), base, contributions, logOdds };
}
