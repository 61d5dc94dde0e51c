import { filesHarness } from '../support/objects-harness.js';
import { dataEngineContract } from './data-engine.contract.js';

dataEngineContract('files', filesHarness);
