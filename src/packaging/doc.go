// Package packaging makes the packages of the project (build) and tests them and what they install.
package packaging
