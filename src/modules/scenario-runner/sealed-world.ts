/** What this unit knows of a sealed world: the engine's own words, and no more of them than it judges by. */
export {
  type Invocation,
  OUTPUT_GATE,
  type OutputIndex,
  OutputIndexSchema,
  outputScope,
  type SealedOutput,
  sealKey,
  type SealStatus,
  type WorldPins,
  worldPinsOf,
  type WorldSeal,
  WorldSealSchema,
} from '../data-engine/data-engine.port.js';
