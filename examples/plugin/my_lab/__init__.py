"""Parts of our lab's own for adde_ray."""
