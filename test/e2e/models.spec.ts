import { modelsSuite } from './models.cases.js';

modelsSuite(['all']);
