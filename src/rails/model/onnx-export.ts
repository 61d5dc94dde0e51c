import type { LinearModel, TreeModel } from './bundle.schema.js';
import { attribute, type Bytes, DOUBLE, doubles, field, FLOAT, message, node, rowsOfNumbers } from './onnx-writer.js';

/** Names of the tensors of an exported file. */
export const ONNX_TENSORS = { input: 'inputs', output: 'probability' } as const;

/** Operators of ONNX 1.10 and of its part for machine learning; IR version 8. */
const [OPERATORS, ML_OPERATORS, IR_VERSION] = [16, 3, 8];
const ML = 'ai.onnx.ml';

export interface OnnxExportOptions {
  /**
   * Of the numbers that the file takes. `double`: exact for every value. `float`: what most programs feed, and what the platform itself feeds to a model of
   * others; whole numbers beyond 16,777,216 are rounded before the model sees them.
   */
  readonly input?: 'double' | 'float';
}

/**
 * A model as an ONNX file: rows of inputs in the order of the bundle, NaN where a value is missing, to the probability of fraud of each row ([rows, 1]).
 * Everything is computed in double precision but the sum of trees, which the operator gives in single: scores are within a millionth of ours.
 */
export function onnxOf(model: LinearModel | TreeModel, { input = 'double' }: OnnxExportOptions = {}): Bytes {
  const exact = input === 'double' ? ONNX_TENSORS.input : 'exact_inputs';
  const { nodes, initializers, logOddsType } =
    model.format === 'probity.linear.v1' ? linear(model, exact) : trees(model, exact);
  const cast = node({
    operator: 'Cast',
    inputs: [ONNX_TENSORS.input],
    output: exact,
    attributes: [attribute.int('to', DOUBLE)],
  });
  const graph = message(
    ...(input === 'double' ? [] : [field(1, cast)]),
    ...nodes.map((each) => field(1, each)),
    field(1, node({ operator: 'Sigmoid', inputs: ['log_odds'], output: ONNX_TENSORS.output })),
    field(2, 'probity'),
    ...initializers.map((each) => field(5, each)),
    field(11, rowsOfNumbers(ONNX_TENSORS.input, input === 'double' ? DOUBLE : FLOAT, model.inputs.length)),
    field(12, rowsOfNumbers(ONNX_TENSORS.output, logOddsType, 1)),
  );
  return message(
    field(1, IR_VERSION),
    field(2, 'probity'),
    field(7, graph),
    field(8, message(field(1, ''), field(2, OPERATORS))),
    ...(model.format === 'probity.tree.v1' ? [field(8, message(field(1, ML), field(2, ML_OPERATORS)))] : []),
  );
}

interface Parts {
  readonly nodes: readonly Bytes[];
  readonly initializers: readonly Bytes[];
  /** Of the tensor `log_odds`. */
  readonly logOddsType: number;
}

/** weight · (min(x, cap) − mean) / deviation, or the weight of what is missing; their sum, and the intercept. */
function linear({ inputs, intercept }: LinearModel, from: string): Parts {
  const columns = inputs.length;
  const row = (name: string, of: (input: LinearModel['inputs'][number]) => number): Bytes =>
    doubles(name, [1, columns], inputs.map(of));
  return {
    nodes: [
      node({ operator: 'IsNaN', inputs: [from], output: 'is_missing' }),
      node({ operator: 'Min', inputs: [from, 'caps'], output: 'capped' }),
      node({ operator: 'Sub', inputs: ['capped', 'means'], output: 'centred' }),
      node({ operator: 'Mul', inputs: ['weights', 'centred'], output: 'weighted' }),
      node({ operator: 'Div', inputs: ['weighted', 'deviations'], output: 'standard' }),
      node({ operator: 'Where', inputs: ['is_missing', 'weights_missing', 'standard'], output: 'contributions' }),
      node({ operator: 'MatMul', inputs: ['contributions', 'ones'], output: 'sum' }),
      node({ operator: 'Add', inputs: ['sum', 'intercept'], output: 'log_odds' }),
    ],
    initializers: [
      row('caps', ({ cap }) => cap ?? Number.MAX_VALUE),
      row('means', ({ mean }) => mean),
      row('weights', ({ weight }) => weight),
      row('deviations', ({ deviation }) => deviation),
      row('weights_missing', ({ weight_missing }) => weight_missing),
      doubles('ones', [columns, 1], new Array<number>(columns).fill(1)),
      doubles('intercept', [1, 1], [intercept]),
    ],
    logOddsType: DOUBLE,
  };
}

/** Every node of every tree: x below its value goes to the true branch, and so does what is missing where it says so. */
function trees({ trees: all, base }: TreeModel, from: string): Parts {
  const nodes = all.flatMap((tree, treeId) => tree.map(({ split }, nodeId) => ({ treeId, nodeId, split })));
  const leaves = all.flatMap((tree, treeId) =>
    tree.flatMap(({ split, value }, nodeId) => (split === undefined ? [{ treeId, nodeId, value }] : [])),
  );
  const ofNodes = (name: string, of: (each: (typeof nodes)[number]) => number): Bytes =>
    attribute.ints(`nodes_${name}`, nodes.map(of));
  const ofLeaves = (name: string, of: (each: (typeof leaves)[number]) => number): Bytes =>
    attribute.ints(`target_${name}`, leaves.map(of));
  const numbers = (name: string, values: readonly number[]): Bytes =>
    attribute.tensor(name, doubles('', [values.length], values));
  const ensemble = node({
    operator: 'TreeEnsembleRegressor',
    domain: ML,
    inputs: [from],
    output: 'log_odds',
    attributes: [
      attribute.text('aggregate_function', 'SUM'),
      attribute.text('post_transform', 'NONE'),
      attribute.int('n_targets', 1),
      numbers('base_values_as_tensor', [base]),
      ofNodes('treeids', ({ treeId }) => treeId),
      ofNodes('nodeids', ({ nodeId }) => nodeId),
      ofNodes('featureids', ({ split }) => split?.input ?? 0),
      ofNodes('truenodeids', ({ split }) => split?.left ?? 0),
      ofNodes('falsenodeids', ({ split }) => split?.right ?? 0),
      ofNodes('missing_value_tracks_true', ({ split }) => (split?.missing === 'left' ? 1 : 0)),
      attribute.texts(
        'nodes_modes',
        nodes.map(({ split }) => (split === undefined ? 'LEAF' : 'BRANCH_LT')),
      ),
      numbers(
        'nodes_values_as_tensor',
        nodes.map(({ split }) => split?.threshold ?? 0),
      ),
      ofLeaves('treeids', ({ treeId }) => treeId),
      ofLeaves('nodeids', ({ nodeId }) => nodeId),
      ofLeaves('ids', () => 0),
      numbers(
        'target_weights_as_tensor',
        leaves.map(({ value }) => value),
      ),
    ],
  });
  return { nodes: [ensemble], initializers: [], logOddsType: FLOAT };
}
