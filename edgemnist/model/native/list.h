/* The list of groups of four inputs that are not all 0, for kernels without an instruction for it: the numbers of the
 * groups, then their inputs. Included after KERNEL and TARGET are defined. */
#include "engine.h"

#define GROUP 4U
#define LIST_BYTES(groups) (2U * (groups) * sizeof(uint32_t))

TARGET static size_t KERNEL(list)(const uint8_t *inputs, size_t count, void *list)
{
    const size_t groups = (count + GROUP - 1U) / GROUP;
    uint32_t *const numbers = list;
    uint32_t *const values = numbers + groups;
    size_t found = 0;
    for (size_t group = 0; group < groups; ++group) {
        uint32_t four;
        __builtin_memcpy(&four, inputs + group * GROUP, sizeof four);
        /* Written in any case, kept if it is not zero: cheaper than a branch that nobody can foresee. */
        numbers[found] = (uint32_t)group;
        values[found] = four;
        found += four != 0U;
    }
    return found;
}
