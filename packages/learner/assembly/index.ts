export { appendHeads, attendOne, causalSoftmax, causalSoftmaxBackward } from "./attention";
export { rmsNorm, rmsNormAgain, rmsNormBackward, rmsNormWeightGradient } from "./norm";
export { rotary } from "./rotary";
export { multiplyRows } from "./rows";
export { roomBytes, sgemm, useRoom } from "./sgemm";
export { swiglu, swigluBackward } from "./swiglu";
export { adamw, addBias, addTo, dot, gatherRows, scatterAdd, sumRows } from "./vector";
export {
  divergenceAndEntropy,
  policyGradient,
  scaleRows,
  subtractRows,
  targetGradient,
  targetLogProbs,
} from "./vocabulary";
