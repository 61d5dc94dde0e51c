import { s3Harness } from '../support/objects-harness.js';
import { dataEngineContract } from './data-engine.contract.js';

dataEngineContract('s3', s3Harness);
