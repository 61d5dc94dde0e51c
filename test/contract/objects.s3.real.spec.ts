import { objectsContract } from '../../src/substrate/objects/objects.contract.js';
import { s3Harness } from '../support/objects-harness.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

objectsContract('s3', s3Harness, { streamBytes: (FULL ? 1024 : 128) * 1024 * 1024 + 4_711 });
